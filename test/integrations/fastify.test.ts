import { serveByFastify } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByFastify)
