import { doctor } from 'tenantry'
import { postgres } from 'tenantry/postgres'

// Runs the doctor in a process of its own, which can be killed.
const [url = '', installation = ''] = process.argv.slice(2)
process.stdout.write('asking\n')
await doctor({ servers: [postgres({ url })], installation })
