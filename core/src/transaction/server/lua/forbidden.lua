-- What an ACL may forbid. FINISH alone lets shadows become keys, and it cannot go back: whoever may not is told before
-- anything of it is done. Behind a script's first write, for a write ends the server's watch over its memory.

-- The server's words about what this user may not run of what these outcomes take. A hash that is renamed to itself
-- is not changed, nor is a name that nothing has.
local function forbidden(kinds)
  local function refused(name, ...)
    local reply = redis.pcall(name, ...)
    if type(reply) == 'table' and reply.err and not string.find(reply.err, 'no such key', 1, true) then
      return reply.err .. ' (' .. name .. ', which transactions need)'
    end
  end
  return string.find(kinds, '[wW]') and refused('RENAME', T, T)
    or string.find(kinds, '[d%d]') and refused('UNLINK', T .. ':' .. id)
end
