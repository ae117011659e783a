import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TenantryError } from '../../kernel/errors.ts'
import { configFileNames } from '../config-file.ts'
import { defineCommand } from '../define-command.ts'
import { ensureCatalog } from '../ensure-catalog.ts'
import { describeProject } from '../project.ts'
import { startingConfig } from '../starting-config.ts'
import { coloured } from '../report.ts'
import type { CommonOptions } from '../tools.ts'

interface Options extends CommonOptions {
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly catalog?: boolean
}

/** `tenantry init` */
export const init = defineCommand<Options>(
  {
    usage: 'init',
    summary: 'Write a starting tenantry.config.ts, or create the catalog',
    examples: {
      init: "finds the project's entities, schema or migrations",
      'init --dry-run': 'prints it instead',
      'init --catalog': 'creates the catalog that the configuration names',
    },
  },
  (command) =>
    command
      .option('--force', 'replace the existing one')
      .option('--dry-run', 'print it, and write nothing')
      .option('--catalog', 'write no configuration: create the catalog of the existing one'),
  async (tools, _args, { force, dryRun, catalog }) => {
    if (catalog) {
      if (force || dryRun) throw catalogError()
      return ensureCatalog(tools)
    }
    const folder = process.cwd()
    const there = configFileNames.find((name) => existsSync(join(folder, name)))
    if (there !== undefined && !force && !dryRun) throw configExistsError(there)
    const project = await describeProject(folder)
    const name = there ?? (project.hasTypeScript ? 'tenantry.config.ts' : 'tenantry.config.mjs')
    const text = startingConfig(project)
    if (dryRun) return { result: { file: name, text, written: false }, lines: [text.trimEnd()] }
    await writeFile(join(folder, name), text)
    return {
      result: { file: name, text, written: true, adapter: project.models.adapter, entities: project.entities },
      lines: [
        `${coloured('green', 'Wrote')} ${name}.`,
        ...(project.models.found.length > 0
          ? project.models.found.map((it) => `  ${it}`)
          : ['  No entities or migrations were found: name yours in it.']),
        ...(project.missing.length > 0 ? [`  Not installed yet: npm install ${project.missing.join(' ')}`] : []),
        'Next: npx tenantry onboard acme',
      ],
    }
  },
)

function catalogError(): TenantryError {
  return new TenantryError(
    'invalid-option',
    '--catalog writes no configuration, and takes neither --force nor --dry-run.',
    {
      hint: 'Leave them out.',
    },
  )
}

function configExistsError(name: string): TenantryError {
  return new TenantryError('config-exists', `${name} is there already.`, {
    hint: 'Edit it; or --force to replace it, --dry-run to see what would be written.',
  })
}
