import config from './tenantry.config.ts'

export default { ...config, limits: { lockTimeoutMs: 1 } }
