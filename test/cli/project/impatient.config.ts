import config from './tenantry.config.ts'

export default { ...config, lockTimeoutMs: 1 }
