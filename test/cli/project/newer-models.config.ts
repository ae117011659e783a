import { defineEntity, p } from '@mikro-orm/core'
import { mikroOrm } from 'tenantry/mikro-orm'
import config from './tenantry.config.ts'

const Note = defineEntity({
  name: 'Note',
  properties: { id: p.integer().primary(), text: p.text(), pinned: p.boolean() },
})

const Tag = defineEntity({ name: 'Tag', properties: { id: p.integer().primary() } })

export default { ...config, models: mikroOrm({ entities: [Note, Tag] }) }
