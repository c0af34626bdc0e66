-- STATUS: what the primary has decided. ARGV: id not_after force.
local register = redis.call('HGET', T, slot)
if unreadable(register) then return {'MISMATCH'} end
local state = known(register)
if state == 'H' then return stale() end
if state == 'A' then return {'ABORTED'} end
if state then
  local role = parts(register)
  if string.sub(role, 1, 1) ~= 'p' then return {'MISMATCH'} end
  return state == 'D' and {'COMMITTED', string.sub(role, 2)} or held('STAGING', register)
end
-- What was removed had used the slot last: with an earlier one in it, nothing of this has come.
if not register and now() > ARGV[2] then return stale() end
if ARGV[3] ~= '1' then return {'NOTHING'} end
return pending(register) or bury(ARGV[2], 'p', doubted())
