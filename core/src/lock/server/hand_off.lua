-- The calls of a hand-off: one at a time may hold, one does, and the first in line, if any, is alive. Then nothing is
-- to be reaped or dropped, and records are cut and joined, not converted. Whatever is not that, and a record that is
-- not as these scripts write it, is left to the long way below; nothing is written until then.
if form == 'Q' and sub(S, 126, 145) == '00000000010000000001' and sub(S, 156) == '0000000000000001'
    and (op == 'REN' and #ARGV[3] == 11 or op == 'REL' and ARGV[3] == '1'
      or op == 'ACQ' and ARGV[8] == '1' and sub(ARGV[3], 12) == '00000000010000000001') then
  time = redis.call('TIME')
  local format, match = string.format, string.match
  local now = #time[2] == 6 and time[1] .. time[2] or time[1] .. sub('00000' .. time[2], -6)
  local waiters = sub(S, 146, 155) + 0
  local held = redis.call('ZRANGE', KEYS[2], '0', '1', 'WITHSCORES')
  local line = waiters > 0 and redis.call('ZRANGE', KEYS[3], '0', op == 'REL' and '1' or '0') or {}
  local first, second = line[1], line[2]
  local RECORD = '^([hw]),([1-9]%d*),([1-9]%d*)(),1,1,([1-9]%d*)(),(%d+),(%d+),([^,]*),()'

  -- Whether a record's columns are not wider than they are written, and its number is none of those to come.
  local function sound(till, number, ttl, claim, live)
    return #till == 16 and till < '9' and #number == 16 and number < now and #ttl < 10 and #claim < 10 and #live < 10
      and (claim == '0' or sub(claim, 1, 1) ~= '0') and (live == '0' or sub(live, 1, 1) ~= '0')
  end

  local ready, f = sub(S, 2, 17) < now and #held == 2 and #held[2] == 16 and (op == 'ACQ') == (held[1] ~= id)
    and redis.call('ZCARD', KEYS[3]) == waiters and redis.call('HLEN', KEYS[4]) == waiters + 1, nil
  local role, till, number, ttl, claim, live, ends, fence, behind, label, head_behind, inbox, span, _
  if ready then
    f = redis.call('HMGET', KEYS[4], held[1], first or id, second or id)
    role, ends, fence, _, ttl, behind, claim, live, _, label = match(f[1] or '', RECORD)
    ready = role == 'h' and sound(ends, fence, ttl, claim, live)
  end
  if ready and second then
    role, till, number, _, ttl, _, claim, live = match(f[3] or '', RECORD)
    ready = role == 'w' and sound(till, number, ttl, claim, live) and till > now
  end
  if ready and first then
    role, till, number, head_behind, ttl, _, claim, live, inbox = match(f[2] or '', RECORD)
    ready = role == 'w' and sound(till, number, ttl, claim, live) and till > now
  end

  -- How long from now what this call writes is to last.
  if not ready then
    span = nil
  elseif op == 'REL' then
    if not first then
      redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
      redis.call('SET', KEYS[1], 'I' .. sub(S, 2, 33) .. id .. ',' .. sub(S, 34, 102), 'PX', '120000')
      return {'RELEASED'}
    end
    span = ttl + 0 < claim + 0 and ttl or claim
  elseif held[2] > now and ends > now then
    ttl = match(sub(ARGV[3], 1, 11), '^0*([1-9]%d*)$')
    if op == 'REN' then
      span = ttl
    elseif not f[3] and sub(S, 18, 33) <= now and not find(S, id, 34, true) and ARGV[4] < now
        and (ARGV[5] == '0000000000000000' or now <= ARGV[5]) then
      claim, span, inbox = match(ARGV[9], '^(%d+) ([1-9]%d*) 0 (.*)$')
    end
  end
  if span and ttl and #span < 10 then
    local micros = time[2] + span
    local part, least = micros % 1000000, span + 999
    till = format('%d%06d', time[1] + (micros - part) / 1000000, part)
    least = (least - least % 1000) / 1000 + 120000
    local keep, state = redis.call('PTTL', KEYS[1]), nil
    local stretched, answer = keep < least, nil
    keep = format('%d', stretched and least or keep)
    if op == 'ACQ' then
      if find(inbox, ',', 1, true) then inbox = string.gsub(inbox, ',', '{') end
      -- A server whose memory is full refuses this one.
      redis.call('HSET', KEYS[4], id, 'w,' .. till .. ',' .. now .. ',1,1,' .. ttl .. ',' .. claim .. ',' .. span .. ','
        .. inbox .. ',' .. ARGV[7])
      local rank = first and redis.call('ZCOUNT', KEYS[3], '-inf', '(' .. now) or 0
      redis.call('ZADD', KEYS[3], now, id)
      state = sub(S, 18, 145) .. format('%010d', waiters + 1)
      answer = {'QUEUED', now, now, format('%.0f', ends - now), format('%d', rank), sub(f[1], label)}
    elseif op == 'REL' then
      -- A deletion comes first: it lets the rest run when memory is full.
      redis.call('HDEL', KEYS[4], id)
      redis.call('HSET', KEYS[4], first, 'h,' .. till .. ',' .. now .. sub(f[2], head_behind))
      redis.call('ZREM', KEYS[3], first)
      redis.call('ZADD', KEYS[2], till, first)
      redis.call('ZREM', KEYS[2], id)
      state = sub(S, 18, 33) .. id .. ',' .. sub(S, 34, 102) .. '00000000010000000001' .. format('%010d', waiters - 1)
      answer = {'RELEASED'}
    elseif till >= ends then
      redis.call('HDEL', KEYS[4], '')
      redis.call('HSET', KEYS[4], id, 'h,' .. till .. ',' .. fence .. ',1,1,' .. ttl .. sub(f[1], behind))
      redis.call('ZADD', KEYS[2], till, id)
      answer = {'OK', fence, now, ARGV[3]}
    end
    if answer then
      if state then redis.call('SETRANGE', KEYS[1], '1', now .. state) end
      -- All end together, and those that were there need not be told anew.
      if stretched then
        redis.call('PEXPIRE', KEYS[1], keep)
        redis.call('PEXPIRE', KEYS[2], keep)
        redis.call('PEXPIRE', KEYS[4], keep)
      end
      if stretched or waiters == 0 then redis.call('PEXPIRE', KEYS[3], keep) end
      -- A push may fail: where an ACL forbids the channel, the grant stands.
      if op == 'REL' and inbox ~= '' then
        if find(inbox, '{', 1, true) then inbox = string.gsub(inbox, '{', ',') end
        local sent = redis.pcall('PUBLISH', inbox, 'GRANT ' .. first .. ' ' .. now .. ' ' .. now .. ' '
          .. format('%011d', span) .. ' ' .. KEYS[1])
        if type(sent) == 'table' then answer[2] = 'nopush' end
      end
      return answer
    end
  end
end
