-- First in every script of locks, guards and counters, which act only at a server of their client's ring. The
-- last key is the participant's hash, where the server's stamp is; the last argument is the client's stamp.
local stamp = redis.call('HGET', KEYS[#KEYS], 'e')
if stamp ~= ARGV[#ARGV] then
  return {'RING', stamp or '', redis.call('HGET', KEYS[#KEYS], 'members') or ''}
end
