import { TenantryError } from '../../kernel/errors.ts'
import { eachTenant } from '../each-tenant.ts'
import type { Tenantry } from '../../index.ts'
import { defineCommand } from '../define-command.ts'
import { exitCodes } from '../exit-codes.ts'
import { asValue, coloured, failureLine, type Report } from '../report.ts'
import type { CommonOptions, Tools } from '../tools.ts'

interface Options extends CommonOptions {
  readonly all?: boolean
  readonly reencrypt?: boolean
  readonly keyLost?: boolean
}

/** `tenantry rotate-credentials` */
export const rotateCredentials = defineCommand<Options>(
  {
    usage: 'rotate-credentials [id]',
    summary: "Give tenants' roles new passwords, or encrypt them with a new key",
    examples: {
      'rotate-credentials acme': 'a new password, and no session with the old one',
      'rotate-credentials --all': 'of every tenant',
      'rotate-credentials --all --key-lost': 'with another key, after the first was lost',
      'rotate-credentials --reencrypt': 'the same passwords, with the first configured key',
    },
  },
  (command) =>
    command
      .option('--all', 'every tenant in service that has a role of its own')
      .option('--reencrypt', 'keep the passwords, and encrypt them with the current key')
      .option('--key-lost', 'with --all: accept the current key in place of the one that was lost'),
  (tools, [id], { all = false, reencrypt = false, keyLost = false }) => {
    if ([id !== undefined, all, reencrypt].filter(Boolean).length !== 1) throw whatToRotateError()
    if (keyLost && !all) throw lostError()
    const work = (tenantry: Tenantry<unknown>) => {
      if (reencrypt) return reencryptAll(tenantry, tools)
      return all ? rotateAll(tenantry, tools) : rotateOne(tenantry, tools, String(id))
    }
    return tools.withTenantry('change', work, keyLost)
  },
)

async function rotateOne(tenantry: Tenantry<unknown>, { actor, signal }: Tools, id: string): Promise<Report> {
  const result = await tenantry.tenants.rotateCredentials(id, { actor, signal })
  return { result, lines: [rotatedLine(id)] }
}

async function reencryptAll(tenantry: Tenantry<unknown>, { actor, signal }: Tools): Promise<Report> {
  const result = await tenantry.tenants.reencryptCredentials({ actor, signal })
  const { reencrypted, unreadable } = result
  return {
    result,
    lines: [
      `encrypted with the current key: ${reencrypted}`,
      ...(unreadable > 0
        ? [`not readable with any configured key: ${unreadable} (see: tenantry rotate-credentials --all)`]
        : []),
    ],
    exitCode: unreadable > 0 ? exitCodes.failed : exitCodes.done,
  }
}

async function rotateAll(tenantry: Tenantry<unknown>, { actor, signal, progress }: Tools): Promise<Report> {
  const rotated: string[] = []
  const shared: string[] = []
  const failed: { readonly id: string; readonly error: TenantryError }[] = []
  const rotate = async (id: string) => {
    try {
      await tenantry.tenants.rotateCredentials(id, { actor, signal })
      rotated.push(id)
    } catch (error) {
      if (!(error instanceof TenantryError) || error.code === 'aborted') throw error
      if (error.code === 'roles-shared') shared.push(id)
      else failed.push({ id, error })
    }
  }
  await progress('setting new passwords', async () => {
    for await (const { id } of eachTenant(tenantry, { state: ['active', 'suspended'], signal })) await rotate(id)
  })
  return {
    result: { rotated, shared, failed: failed.map(({ id, error }) => ({ id, error: asValue(error) })) },
    lines: [
      ...rotated.map(rotatedLine),
      ...shared.map((id) => `${coloured('bold', id)}: has no role of its own`),
      ...failed.map(({ id, error }) => failureLine(id, error)),
      ...(rotated.length + shared.length + failed.length === 0 ? ['There is no tenant in service.'] : []),
    ],
    exitCode: failed.length > 0 ? exitCodes.failed : exitCodes.done,
  }
}

function rotatedLine(id: string): string {
  return `${coloured('bold', id)}: rotated`
}

function lostError(): TenantryError {
  return new TenantryError('invalid-option', '--key-lost is for --all: no password can be read without the key.', {
    hint: 'Give both, or leave out --key-lost.',
  })
}

function whatToRotateError(): TenantryError {
  return new TenantryError('invalid-option', 'It is unclear which credentials to rotate.', {
    hint: 'Give one of: an id, --all, --reencrypt.',
  })
}
