#!/usr/bin/env node
import process from 'node:process'

// Checked before any module is loaded that an older Node.js cannot load.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major > 22 || (major === 22 && minor >= 18)) {
  const { enableCompileCache } = await import('node:module')
  // Each command is a process of its own, and reuses code that another one has compiled.
  enableCompileCache()
  await import('./run.ts')
} else {
  console.error(`Tenantry needs Node.js 22.18 or newer; this is ${process.versions.node}.`)
  process.exitCode = 1
}
