-- Looking up, refusing, validating: what ONE_PHASE and PREPARE have in common.
-- ARGV: id ring digest+not_after modes checks operations elements bytes (two of the script's own) checks...
-- operations...   A check is an operation with what it expects in front of its name.
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

-- The answer to a client of another ring, which a copy of the same call is told without the members. Where there
-- is no stamp, or one of an earlier version, there may be this client's soon.
local function other_ring(record)
  if not f[1] or #f[1] ~= #ring then return {'RING', f[1] or '', ''} end
  local members = redis.call('HGET', T, 'members') or ''
  local answer = refuse(record, 'RING', f[1], '')
  answer[4] = members
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
  if not rest then return {'MISMATCH'} end
  if state == 'P' then return {'PREPARED', now(), rest} end
  if state == 'D' then return {'DONE', rest} end
  return rest ~= '' and uncounted(rest, 1) or {'ABORTED'}
end

-- The answer of one who may not lock. A refused writer keeps new readers out for a while.
local function locked_out(joins, record)
  local locked
  for i = 1, keys do locked = locked or f[i + 2] end
  if not locked then return nil end

  local function first_to_end(holders)
    local first
    for _, holder in ipairs(holders) do
      if not first or string.sub(holder, 53, 68) < string.sub(first, 53, 68) then first = holder end
    end
    return first
  end

  -- Who keeps a key from this transaction; true besides if that is a reader who keeps out a writer.
  local function obstacle(lock, mode)
    if string.sub(lock, 1, 1) == 'X' then return string.sub(lock, 2) end
    local holders = uncounted(lock, 18)
    if mode ~= 'S' then return first_to_end(holders), true end
    if joins and (#holders >= 32 or string.sub(lock, 2, 17) > now()) then return first_to_end(holders) end
  end

  for i = 1, keys do
    local holder, by_readers
    if f[i + 2] then holder, by_readers = obstacle(f[i + 2], string.sub(modes, i, i)) end
    if holder then
      if by_readers then
        extra = {fields[i + 2], 'S' .. string.format('%016.0f', now() + 50000) .. string.sub(f[i + 2], 18)}
      end
      return refuse(record, 'LOCKED', tostring(i - 1), string.sub(holder, 1, 36), string.sub(holder, 37, 52),
        string.sub(holder, 53, 68), now(), string.sub(holder, 69))
    end
  end
end

-- The place of the first check that is answered otherwise than expected.
local function changed()
  if checks == 0 then return nil end

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
