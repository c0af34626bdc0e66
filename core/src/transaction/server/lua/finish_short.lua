-- FINISH, the common case: nobody was told that the outcome is in doubt, the vote holds few keys, all of them to be
-- written, and commits. Whatever is not that is left to the long way below; nothing was written until then.
if ARGV[3] == 'C' and ARGV[5] == '0' and #ARGV[4] < 10 and string.find(ARGV[4], '^W+$') then
  local byte, find, format, sub = string.byte, string.find, string.format, string.sub
  local T, id, keys, lost, fields, f = KEYS[1], ARGV[1], #ARGV[4]
  local one, slot, seq = keys == 1, 'r' .. sub(id, 1, 19), sub(id, 21)
  if one then
    f = redis.call('HMGET', T, 'e', slot, 'k' .. KEYS[2])
  else
    fields = {'e', slot}
    for i = 1, keys do fields[i + 2] = 'k' .. KEYS[i + 1] end
    f = redis.call('HMGET', T, unpack(fields))
  end
  local stamp, register, free = f[1], f[2], false
  local stop, kinds, names, at, role, behind
  if register and sub(register, 1, 16) == seq and byte(register, 17) == 80
      and not (stamp and #stamp == 63 and sub(stamp, 48) ~= ARGV[6]) and find(sub(register, 18, 33), '^[%da-f]+$') then
    stop, kinds, names, at = string.match(register, '^%d+(),(%d+),(%d+),()', 34)
    if stop and stop > 66 and byte(register, 66) > 48 and kinds + 0 == 2 * keys then
      -- The lengths, and the places of what becomes of each key, of their names and of the replies.
      role = sub(register, 66, stop - 1)
      kinds = at + role
      behind = kinds + 2 * keys + names
      local listed = format('%d:', #KEYS[2]) .. KEYS[2]
      for i = 3, keys + 1 do listed = listed .. format('%d:', #KEYS[i]) .. KEYS[i] end
      free = #listed == names + 0 and sub(register, kinds + 2 * keys, behind - 1) == listed
      for i = 3, keys + 2 do
        free = free and f[i] and sub(f[i], 1, 37) == 'X' .. id and find(register, '^[wW];', kinds + 2 * i - 6)
      end
    end
  end
  if free and redis.acl_check_cmd then
    local known, may = pcall(redis.acl_check_cmd, 'RENAME', T, T)
    free = known and may
  elseif free then
    free = not redis.pcall('RENAME', T, T).err
  end
  if free then
    -- A deletion comes first: it lets the rest run when memory is full.
    if one then redis.call('HDEL', T, 'k' .. KEYS[2]) else redis.call('HDEL', T, unpack(fields, 3)) end
    for i = 2, keys + 1 do
      if byte(register, kinds + 2 * i - 4) == 87 and redis.pcall('EXISTS', KEYS[i + keys]) == 1 then
        redis.pcall('UNLINK', KEYS[i])
      end
      if redis.pcall('RENAME', KEYS[i + keys], KEYS[i]).err then
        lost = lost or {}
        lost[#lost + 1] = KEYS[i]
      end
    end
    redis.pcall('HSET', T, slot, seq .. 'D' .. sub(register, 18, 49) .. '0000000000000000' .. role .. ',0,0,'
      .. sub(register, at, kinds - 1) .. sub(register, behind))
    if lost then return {'LOST', tostring(#lost), unpack(lost)} end
    return {'COMMITTED', ''}
  end
end
