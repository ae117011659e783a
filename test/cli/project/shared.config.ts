import config from './tenantry.config.ts'

export default { ...config, roles: 'shared' }
