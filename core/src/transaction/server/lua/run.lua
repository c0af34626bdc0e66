-- Executing operations. An operation is a letter and the number of its words, and these: the name, the place of
-- the key, the rest.

-- A reply as text. Lua's numbers are doubles: a larger integer was read back as text.
local function encoded(reply)
  local kind = type(reply)
  if kind == 'string' then return '$' .. #reply .. '\n' .. reply end
  if kind == 'number' then
    if reply < 1e14 and reply > -1e14 then return ':' .. reply .. '\n' end
    return string.format(':%.0f\n', reply)
  end
  if not reply then return '_' end
  if reply.ok then return '+' .. reply.ok .. '\n' end
  local list = {'*' .. #reply .. '\n'}
  for i = 1, #reply do list[i + 1] = encoded(reply[i]) end
  return table.concat(list)
end

-- Where memory is full a server refuses what takes memory before a script's first write only: the place of the first
-- operation of `count` that takes some behind others that take none, and what the server says to it, if it refuses it.
-- The letter `free` is that of operations that take none. `hash` is there, so nothing is set.
local function out_of_memory(hash, at, count, free)
  local behind = false
  for n = 1, count do
    local letter = string.sub(ARGV[at], 1, 1)
    if letter ~= 'r' and letter ~= free then
      local reply = behind and redis.pcall('SETNX', hash, '')
      local refused = type(reply) == 'table' and reply.err or ''
      if string.find(refused, 'OOM', 1, true) then return n, refused end
      return nil
    end
    behind = behind or letter == free
    at = at + 1 + string.sub(ARGV[at], 2)
  end
end

-- What a register keeps of replies: a register stays until its slot is used again, so it has to be small. Whoever
-- asks again for what was not kept is answered without.
local function recorded(replies) return #replies <= 16384 and replies or '' end

-- Executes the command whose name is the argument at `from`, on `key`. What the key's place was is gone then.
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
