-- Lets the shadow of key number `i` become the key; false if it is gone though it ought to be there.
local function apply(kind, ends, key, shadow)
  if kind == 'd' then
    redis.pcall('UNLINK', key)
  elseif kind == 'w' or kind == 'W' then
    -- What is renamed over is freed at once, which takes long for a collection.
    if kind == 'W' and redis.pcall('EXISTS', shadow) == 1 then redis.pcall('UNLINK', key) end
    local renamed = redis.pcall('RENAME', shadow, key)
    if renamed.err then
      -- Its own end may have come. PTTL and TIME may differ by a millisecond.
      if ends == '' or now() / 1000 + 2 < tonumber(ends) then return false end
      redis.pcall('UNLINK', key)
    end
  end
  return true
end
