import config from './tenantry.config.ts'

// retentionDays is meant.
export default { ...config, tenants: { retentionDay: 7 } }
