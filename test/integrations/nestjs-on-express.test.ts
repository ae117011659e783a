import { serveByNestOnExpress } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByNestOnExpress)
