-- The queued lock, server side. server.rs is the same in Rust; mod.rs tells the layout and the promises.
-- KEYS: state holders queue records tombstones.   ARGV: op id arguments...
-- Spans and moments are microseconds; every moment is this server's TIME.
local find, sub = string.find, string.sub
local op, id = ARGV[1], ARGV[2]
local S = redis.call('GET', KEYS[1])
local form = S and sub(S, 1, 1) or 'I'
local owned = form == 'F' and sub(S, 126, 147) == id
local time

-- Whether the columns are those of this layout: the string may have been cut, or be of another version.
-- Nothing is written where they are not. Moments are below 9e15; the pattern counts the digits. Of a
-- released holder's columns only the id is used again, and only to be compared.
if S then
  local sound = find(S, '^[IFQ][0-8]%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d[0-8]%d%d%d%d%d%d%d%d%d%d%d%d%d%d%d')
  if form == 'F' then
    local _, named, last = 0, 147, nil
    if not owned then _, named = find(S, '^[%w_-]+', 126) end
    _, last = find(S, '^[0-8]%d+', 148)
    sound = sound and named and named >= 147 and last and last >= 194
  elseif form == 'Q' then
    sound = sound and #S == 171 and find(S, '^%d+$', 126) and sub(S, 156, 156) < '9'
  else
    sound = sound and (#S == 125 or #S >= 194)
  end
  if not sound then return {'LAYOUT', form} end
end

-- The two calls of an uncontended lock touch one key, and cut, compare and join columns without
-- converting one. Whatever is not the common case is left to the long way below.
if op == 'ACQ' and S and form == 'I' then
  time = redis.call('TIME')
  local now = #time[2] == 6 and time[1] .. time[2] or time[1] .. sub('00000' .. time[2], -6)
  if sub(S, 2, 17) < now and sub(S, 18, 33) <= now and ARGV[4] < now
      and (ARGV[5] == '0000000000000000' or now <= ARGV[5]) and not find(S, id, 34, true) then
    local finished = #S > 125 and sub(S, 126, 147) or nil
    redis.call('SET', KEYS[1], finished
      and 'F' .. now .. sub(S, 18, 33) .. finished .. ',' .. sub(S, 34, 102) .. id .. now .. ARGV[3] .. ARGV[7]
      or 'F' .. now .. sub(S, 18) .. id .. now .. ARGV[3] .. ARGV[7], 'PX', ARGV[6])
    return {'GRANTED', now, now, sub(ARGV[3], 1, 11)}
  end
elseif op == 'REL' and owned and ARGV[3] == '1' then
  -- The holder's columns stay: in an idle state they are the id that finished last.
  if type(redis.pcall('SETRANGE', KEYS[1], '0', 'I')) == 'table' then
    -- Memory is full: a deletion first lets a script write what it needs.
    local keep = redis.call('PTTL', KEYS[1])
    redis.call('DEL', KEYS[1])
    redis.call('SET', KEYS[1], 'I' .. sub(S, 2), 'PX', keep)
  end
  if sub(S, 164, 174) > '00060000000' then redis.call('PEXPIRE', KEYS[1], '120000') end
  return {'RELEASED'}
end
