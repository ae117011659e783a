import { defineConfig } from 'prisma/config'

// npx prisma generate and npx prisma migrate dev read it, in this folder.
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  datasource: { url: process.env['DATABASE_URL'] ?? '' },
})
