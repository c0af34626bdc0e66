-- What can this server do? Answers CHECKED version eviction-policy publish-error cluster-enabled.
-- INFO and PUBLISH may be forbidden by an ACL: what is not known is empty.
local function info(section, field)
  local answer = redis.pcall('INFO', section)
  if type(answer) == 'table' then return '' end
  return string.match(answer, field .. ':([^\r\n]*)') or ''
end

local version = info('server', 'valkey_version')
if version == '' then version = info('server', 'redis_version') end
local policy = info('memory', 'maxmemory_policy')
local sent = redis.pcall('PUBLISH', ARGV[1], 'CHECK')
return {'CHECKED', version, policy, type(sent) == 'table' and sent.err or '', info('cluster', 'cluster_enabled')}
