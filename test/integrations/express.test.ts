import { serveByExpress } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByExpress)
