import { serveByNestOnFastify } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByNestOnFastify)
