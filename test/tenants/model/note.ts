import { defineEntity, p } from '@mikro-orm/core'
import { mikroOrm } from 'tenantry/mikro-orm'

// One table is all that a tenant needs here, so that making one takes little time.

const NoteSchema = defineEntity({
  name: 'Note',
  tableName: 'note',
  properties: {
    id: p.integer().primary().autoincrement(),
    text: p.string(),
  },
})

/** The only table of tenants here: a row names the call that wrote it. */
export class Note extends NoteSchema.class {}
NoteSchema.setClass(Note)

export const models = mikroOrm({ entities: [Note] })
