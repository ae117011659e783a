import { largestTable } from './largest-table.ts'
import type { StructureAccess } from '../../structure.ts'
import { observeStatement } from './observe.ts'
import { parseScript } from './parse-script.ts'
import { memorySchema, readStructure } from './read-structure.ts'
import { buildInScratch, remember } from './scratch.ts'

/** Structures of PostgreSQL's databases. */
export const structureAccess: StructureAccess = {
  read: readStructure,
  parse: parseScript,
  build: buildInScratch,
  observe: observeStatement,
  largestTable,
  remember: (session, text) => remember(session, memorySchema, text),
}
