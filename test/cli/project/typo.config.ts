import config from './tenantry.config.ts'

// retentionDays is meant.
export default { ...config, retentionDay: 7 }
