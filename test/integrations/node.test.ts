import { serveByNode } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByNode)
