import config from './tenantry.config.ts'

export default { ...config, mode: 'router' }
