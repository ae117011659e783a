import { defineEntity, p } from '@mikro-orm/core'

export const Note = defineEntity({
  name: 'Note',
  properties: { id: p.integer().primary(), text: p.text() },
})
