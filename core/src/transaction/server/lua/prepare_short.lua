-- PREPARE, the common case: few keys, all of them written, nothing locked, nothing to be checked, and each is to become
-- a string without an end. It makes no closure, and for one key no table. Whatever is not that is left to the long way
-- below, which starts again: until then only shadows were written.
if ARGV[5] == '0' and #ARGV[6] == 1 and #ARGV[4] < 10 and string.find(ARGV[4], '^W+$') then
  local byte, format, sub = string.byte, string.format, string.sub
  local T, id, keys = KEYS[1], ARGV[1], #ARGV[4]
  local one, slot, seq, fields, f = keys == 1, 'r' .. sub(id, 1, 19), sub(id, 21)
  if one then
    f = redis.call('HMGET', T, 'e', slot, 'k' .. KEYS[2])
  else
    fields = {'e', slot}
    for i = 1, keys do fields[i + 2] = 'k' .. KEYS[i + 1] end
    f = redis.call('HMGET', T, unpack(fields))
  end
  local last, free, patience, time, now = f[2], f[1] == ARGV[2], sub(ARGV[9], 2) + 0
  for i = 3, keys + 2 do free = free and not f[i] end
  if free and patience <= 60000000 and (not last or sub(last, 1, 16) < seq and byte(last, 17) ~= 80) then
    time = redis.call('TIME')
    now = #time[2] == 6 and time[1] .. time[2] or time[1] .. sub('00000' .. time[2], -6)
    free = now <= sub(ARGV[3], 17)
  else
    free = false
  end

  -- What becomes of a key: w or W, as the long way has it.
  local kind, kinds, replies, at = nil, not one and {}, '', 11
  for _ = 1, free and ARGV[6] + 0 or 0 do
    local head, place = ARGV[at], ARGV[at + 2]
    local letter, number = byte(head), place + 2
    local shadow = KEYS[number + keys]
    if not one then kind = kinds[number] end
    if kind then
      -- It has its shadow.
    elseif letter == 119 then
      local size = redis.pcall('STRLEN', KEYS[number])
      free = type(size) == 'number' and size <= ARGV[8] + 0
      local copied = free and redis.pcall('COPY', KEYS[number], shadow, 'REPLACE')
      if copied == 0 then redis.pcall('UNLINK', shadow) else free = copied == 1 end
      kind = 'w;'
    elseif letter == 111 then
      kind = 'W;'
    elseif letter == 114 then
      shadow = KEYS[number]
    else
      free = false
    end
    if not free then break end
    if not one then kinds[number] = kind end

    local reply, count = nil, sub(head, 2) + 0
    if count == 3 then
      reply = redis.pcall(ARGV[at + 1], shadow, ARGV[at + 3])
    else
      ARGV[at + 2] = shadow
      reply = redis.pcall(unpack(ARGV, at + 1, at + count))
      ARGV[at + 2] = place
    end
    local form = type(reply)
    if form == 'number' and reply < 9007199254740992 and reply > -9007199254740992 then
      replies = replies .. format(reply < 1e9 and reply > -1e9 and ':%d\n' or ':%.0f\n', reply)
    elseif form == 'string' then
      replies = replies .. '$' .. #reply .. '\n' .. reply
    elseif form == 'table' and reply.ok then
      replies = replies .. '+' .. reply.ok .. '\n'
    elseif form == 'boolean' then
      replies = replies .. '_'
    else
      free = false
      break
    end
    at = at + 1 + count
  end

  for i = 2, keys + 1 do
    if not one then kind = kinds[i] end
    free = free and kind and redis.call('PTTL', KEYS[i + keys]) == -1
  end
  if free and redis.acl_check_cmd then
    local known, may = pcall(redis.acl_check_cmd, 'RENAME', T, T)
    free = known and may
  elseif free then
    free = not redis.pcall('RENAME', T, T).err
  end
  if free then
    local role, micros = ARGV[10], time[2] + patience
    local primary, part = sub(role, 2), micros % 1000000
    local deadline = format('%010d%06d', time[1] + (micros - part) / 1000000, part)
    if byte(role) == 112 then
      local length, from = string.match(primary, '^(%d+):()')
      primary = length and sub(primary, from, from + length - 1) or ''
    end
    local lock = 'X' .. id .. sub(ARGV[3], 17) .. deadline .. primary
    local names = format('%d:', #KEYS[2]) .. KEYS[2]
    if one then
      kinds = kind
    else
      for i = 3, keys + 1 do names = names .. format('%d:', #KEYS[i]) .. KEYS[i] end
      kinds = table.concat(kinds, '', 2, keys + 1)
    end
    local register = seq .. 'P' .. ARGV[3] .. deadline .. format('%d,%d,%d,', #role, #kinds, #names) .. role .. kinds
      .. names .. (#replies <= 16384 and replies or '')
    if one then
      redis.call('HSET', T, slot, register, 'k' .. KEYS[2], lock)
    else
      local set = {slot, register}
      for i = 3, keys + 2 do
        set[#set + 1] = fields[i]
        set[#set + 1] = lock
      end
      redis.call('HSET', T, unpack(set))
    end
    return {'PREPARED', now, replies}
  end
end
