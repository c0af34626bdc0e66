-- Looking up, refusing, validating: what EXEC1 and PREPARE have in common.
-- ARGV: id ring digest+not_after modes checks operations elements bytes (two of the script's own) checks...
-- operations...   A check or an operation is a letter and the number of its words, and these: the name, the
-- place of the key, the rest; a check has what it expects in front of them.
local ring, digest, modes = ARGV[2], string.sub(ARGV[3], 1, 16), ARGV[4]
local checks, operations = tonumber(ARGV[5]), tonumber(ARGV[6])
local at, keys = 11, #modes
local role -- and where it points to, as a register has it
local writes = string.find(modes, 'W', 1, true) and true or false

if checks + operations > 1000 or keys > 1000 then
  return redis.error_reply('ERR a transaction has at most 1000 operations and keys at one participant')
end
local fields = {'e', slot}
for i = 1, keys do fields[i + 2] = 'k' .. KEYS[i + 1] end
local f = redis.call('HMGET', T, unpack(fields))
local register = f[2]

-- A reply as text. Lua's numbers are doubles: a larger integer was read back as text.
local function encoded(reply)
  local kind = type(reply)
  if kind == 'string' then return '$' .. #reply .. '\n' .. reply end
  if kind == 'number' then return ':' .. string.format('%.0f', reply) .. '\n' end
  if not reply then return '_' end
  if reply.ok then return '+' .. reply.ok .. '\n' end
  local list = {'*' .. #reply .. '\n'}
  for i = 1, #reply do list[i + 1] = encoded(reply[i]) end
  return table.concat(list)
end

-- Executes the command whose name is the argument at `from`, on `key`.
local function run(from, count, key)
  ARGV[from + 1] = key
  local reply = redis.pcall(unpack(ARGV, from, from + count - 1))
  if type(reply) == 'number' and (reply >= 9007199254740992 or reply <= -9007199254740992) then
    local exact = redis.pcall('GET', key)
    if type(exact) == 'table' then exact = redis.pcall('HGET', key, ARGV[from + 2]) end
    return reply, ':' .. exact .. '\n'
  end
  return reply
end

-- Refuses. What is recorded is answered again to a copy of the same call.
local extra = {}
local function refuse(record, verb, ...)
  local answer = {verb, record and '1' or '0', ...}
  if record then
    extra[#extra + 1] = slot
    extra[#extra + 1] = seq .. 'A' .. ARGV[3] .. ZEROS .. #role .. ',0,0,' .. role .. counted(answer, 1, #answer)
  end
  if #extra > 0 then
    redis.call('HDEL', T, '')
    redis.call('HSET', T, unpack(extra))
  end
  return answer
end

-- What is recorded of the same sequence, or why nothing can be done.
local function looked_up()
  local state = known(register)
  if state == 'H' then return stale() end
  if not state then return pending(register) end
  local before = string.sub(register, 18, 33)
  if before ~= digest and not (state == 'A' and before == ZEROS) then return {'MISMATCH'} end
  local _, _, _, rest = parts(register)
  if state == 'P' then return {'PREPARED', now(), rest} end
  if state == 'D' then return {'DONE', rest} end
  return rest == '' and {'ABORTED'} or uncounted(rest, 1)
end

-- The answer of one who may not lock. A refused writer keeps new readers out for a while.
local function locked_out(joins, record)
  for i = 1, keys do
    local mode = string.sub(modes, i, i)
    local holder, by_readers = obstacle(f[i + 2], mode, joins)
    if holder then
      if by_readers then
        extra = {fields[i + 2], 'S' .. string.format('%016.0f', now() + 50000) .. string.sub(f[i + 2], 18)}
      end
      return refuse(record, 'LOCKED', tostring(i - 1), string.sub(holder, 1, 36), string.sub(holder, 37, 52),
        string.sub(holder, 53, 68), now(), string.sub(holder, 69))
    end
  end
end

local function before(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x < y end
  end
  return #a < #b
end

-- A reply whose elements come in any order, in one.
local function in_order(reply, letter)
  if type(reply) ~= 'table' or reply.err then return reply end
  if letter == 'm' then
    table.sort(reply, before)
    return reply
  end
  local pairs_of, list = {}, {}
  for i = 1, #reply, 2 do pairs_of[#pairs_of + 1] = {reply[i], reply[i + 1]} end
  table.sort(pairs_of, function(a, b) return before(a[1], b[1]) end)
  for _, pair in ipairs(pairs_of) do
    list[#list + 1] = pair[1]
    list[#list + 1] = pair[2]
  end
  return list
end

-- The place of the first check that is answered otherwise than expected.
local function changed()
  for n = 1, checks do
    local letter, count = string.sub(ARGV[at], 1, 1), tonumber(string.sub(ARGV[at], 2))
    local reply, exact = run(at + 2, count, KEYS[ARGV[at + 3] + 2])
    if letter ~= 'o' then reply = in_order(reply, letter) end
    local text = type(reply) == 'table' and reply.err and '' or exact or encoded(reply)
    if #text > 64 then text = redis.sha1hex(text) end
    if text ~= ARGV[at + 1] then return tostring(n - 1) end
    at = at + 2 + count
  end
end
