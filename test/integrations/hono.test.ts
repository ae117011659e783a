import { serveByHono } from './apps.ts'
import { conformance } from './conformance.ts'

conformance(serveByHono)
