-- FINISH: lets the shadows become the keys, or drops them, and unlocks. ARGV: id not_after verdict modes told.
-- The verdict is C for a commit, A for an abort, Q for an abort of a vote and of nothing else. `told` is 1 if somebody
-- may have been told that the outcome is in doubt.
local not_after, verdict, keys = ARGV[2], ARGV[3], #ARGV[4]
local keep = ARGV[5] == '1' and doubted() or ZEROS
local fields = {slot}
for i = 1, keys do fields[i + 1] = 'k' .. KEYS[i + 1] end
local f = redis.call('HMGET', T, unpack(fields))
local register = f[1]
if unreadable(register) then return {'MISMATCH'} end
local state = known(register)
if keep ~= ZEROS and (state == 'D' or state == 'A') then
  redis.call('HDEL', T, '')
  redis.call('HSET', T, slot, string.sub(register, 1, 49) .. keep .. string.sub(register, 66))
end
if state == 'D' then return {'COMMITTED', ''} end
if state == 'A' then return {'ABORTED'} end
if state == 'H' then return stale() end
if not state then
  if verdict == 'Q' then return {'NOTHING'} end
  -- What was removed had used the slot last: with an earlier one in it, nothing of this has come.
  if (verdict == 'C' or not register) and now() > not_after then return stale() end
  if verdict == 'C' then return {'LOST', '0'} end
  return pending(register) or bury(not_after, 's', keep)
end
local role, kinds, names, replies = parts(register)
if names ~= counted(KEYS, 2, keys + 1) then return {'MISMATCH'} end

local drop, set, mine = {}, {}, {}
for i = 1, keys do
  local rest
  mine[i], rest = released(f[i + 1], id)
  if rest then
    set[#set + 1] = fields[i + 1]
    set[#set + 1] = rest
  elseif mine[i] then
    drop[#drop + 1] = fields[i + 1]
  end
end
local denied = verdict == 'C' and forbidden(kinds)
if denied then return redis.error_reply(denied) end
-- A deletion comes first: it lets the rest run when memory is full.
redis.call('HDEL', T, '', unpack(drop))
local prefix, lost, i = T .. ':' .. string.sub(id, 1, 19) .. ':', {}, 0
for kind, ends in string.gmatch(kinds, '(%a)(%d*);') do
  local key, shadow = KEYS[i + 2], prefix .. i
  i = i + 1
  if verdict == 'C' and mine[i] then
    if not apply(kind, ends, key, shadow) then lost[#lost + 1] = key end
  else
    if verdict == 'C' then lost[#lost + 1] = key end
    if kind == 'w' or kind == 'W' then redis.pcall('UNLINK', shadow) end
  end
end
set[#set + 1] = slot
if verdict == 'C' then
  set[#set + 1] = seq .. 'D' .. string.sub(register, 18, 49) .. keep .. #role .. ',0,0,' .. role .. replies
else
  set[#set + 1] = seq .. 'A' .. string.sub(register, 18, 49) .. keep .. #role .. ',0,0,' .. role
end
redis.pcall('HSET', T, unpack(set))
if verdict ~= 'C' then return {'ABORTED'} end
if #lost > 0 then return {'LOST', tostring(#lost), unpack(lost)} end
return {'COMMITTED', ''}
