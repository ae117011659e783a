import { DataSource } from 'typeorm'
import { options } from './options.ts'

// TypeORM's own command reads it: npx typeorm migration:generate migrations/name -d data-source.ts
export const dataSource = new DataSource({ ...options, type: 'postgres', url: process.env.DATABASE_URL ?? '' })
