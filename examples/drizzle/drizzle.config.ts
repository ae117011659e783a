import { defineConfig } from 'drizzle-kit'

// npx drizzle-kit generate reads it, in this folder.
export default defineConfig({ dialect: 'postgresql', schema: './schema.ts', out: './drizzle' })
