-- VOTE: what a secondary has voted. ARGV: id not_after force.
local register = redis.call('HGET', T, slot)
if unreadable(register) then return {'MISMATCH'} end
local state = known(register)
if state == 'H' then return stale() end
if state == 'A' then return {'ABORTED'} end
if state == 'D' then return {'COMMITTED', ''} end
if state == 'P' then return held('YES', register) end
if ARGV[3] ~= '1' then return {'NOTHING'} end
-- A PREPARE that comes now is stale: the vote is no, and need not be recorded.
if now() > ARGV[2] then return {'ABORTED'} end
return pending(register) or bury(ARGV[2], 's', ZEROS)
