#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { defineCommand, renderUsage, runCommand } from 'citty'
import { TenantryError } from '../kernel/errors.ts'
import { dev } from './dev.ts'

const meta = { name: 'tenantry', version: readVersion(), description: 'Databases and tables on demand' }
const main = defineCommand({ meta, subCommands: { dev } })

process.exitCode = await run(process.argv.slice(2))

/** Runs what the words ask for and gives the exit code: 0, 1 for a failure, 2 for words that are not understood. */
async function run(words: string[]): Promise<number> {
  const [first] = words
  if (first === '--version' || first === '-v') return print(meta.version)
  if (words.some((word) => word === '--help' || word === '-h')) return print(await usage(first))
  try {
    await runCommand(main, { rawArgs: words })
    return 0
  } catch (error) {
    return await report(error)
  }
}

async function usage(command: string | undefined): Promise<string> {
  return command === 'dev' ? renderUsage(dev, { meta }) : renderUsage(main)
}

async function report(error: unknown): Promise<number> {
  if (error instanceof TenantryError) {
    console.error([error.message, error.hint, `(${error.code})`].filter((line) => line !== undefined).join('\n'))
    return error.code === 'invalid-option' ? 2 : 1
  }
  // citty's own error, for words that it does not understand, is not exported.
  if (!(error instanceof Error && error.name === 'CLIError')) throw error
  console.error(`${error.message}\n\n${await usage(undefined)}`)
  return 2
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url)
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version
}

function print(text: string): number {
  console.log(text)
  return 0
}
