-- First in the scripts that go by a server's id, whatever its ring: they act at no other member. The first key is
-- the participant's hash, where the server's stamp is; the last argument is the print of the id, and taken away.
local member, stamp = table.remove(ARGV), redis.call('HGET', KEYS[1], 'e')
if stamp and #stamp == 63 and string.sub(stamp, 48) ~= member then
  return {'RING', stamp, redis.call('HGET', KEYS[1], 'members') or ''}
end
