-- What operations answer, and whether the server takes them. An operation is a letter and the number of its words, and
-- these: the name, the place of the key, the rest.

-- A reply as text.
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

-- Lua's numbers are doubles: an integer that is larger is read back as text. Nothing if it is not.
local function exactly(reply, key, field)
  if type(reply) ~= 'number' or reply < 9007199254740992 and reply > -9007199254740992 then return nil end
  local exact = redis.pcall('GET', key)
  if type(exact) == 'table' then exact = redis.pcall('HGET', key, field) end
  return ':' .. exact .. '\n'
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
