-- What FINISH, STATUS and VOTE have in common.

-- Until when what was told to be in doubt is kept for those who ask: for a day.
local function doubted() return string.format('%016.0f', now() + 86400000000) end

-- Whether nobody can read a register, as after an accident. It may be anything, so nothing is done, as with another's.
local function unreadable(register)
  if not register then return false end
  local role, kinds, keys = parts(register)
  return not role or string.gsub(kinds, '[SXxdWw]%d*;', '') ~= '' or not uncounted(keys, 1)
end

-- ABORTED where nothing was known. A deletion first lets a script write what it needs when memory is full.
local function bury(not_after, role, keep)
  redis.call('HDEL', T, '')
  redis.call('HSET', T, slot, seq .. 'A' .. ZEROS .. not_after .. keep .. '1,0,0,' .. role)
  return {'ABORTED'}
end

-- What a vote holds, as STATUS and VOTE answer it.
local function held(verb, register)
  local role, kinds, keys = parts(register)
  local modes = string.gsub(string.gsub(kinds, '[%d;]', ''), '[wdx]', 'W')
  local answer = {verb, now(), string.sub(register, 50, 65), string.sub(register, 34, 49), role, modes}
  for _, key in ipairs(uncounted(keys, 1)) do answer[#answer + 1] = key end
  return answer
end
