-- A lock without one holder, if it holds it: whether it did, and what remains, if anything.
local function released(lock, who)
  if not lock then return false end
  if string.sub(lock, 1, 1) == 'X' then return string.sub(lock, 2, 37) == who end
  local mine, rest = false, {}
  -- One that nobody can read stays as it is.
  for _, holder in ipairs(uncounted(lock, 18) or {}) do
    if string.sub(holder, 1, 36) == who then mine = true else rest[#rest + 1] = holder end
  end
  return mine, #rest > 0 and string.sub(lock, 1, 17) .. counted(rest, 1, #rest) or nil
end
