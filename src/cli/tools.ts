import { userInfo } from 'node:os'
import yoctoSpinner from 'yocto-spinner'
import type * as Library from '../index.ts'
import type { Tenantry, TenantryConfig } from '../index.ts'
import { loadConfig } from './config-file.ts'
import { logger, shown } from './report.ts'

/** The options of every command. */
export interface CommonOptions {
  readonly config?: string
  readonly json?: boolean
  readonly verbose?: boolean
}

/**
 * The access of a command to the installation: `read` changes nothing, not even the catalog's own schema; `change`
 * needs an existing one; `create` makes a missing one.
 */
type Access = 'read' | 'change' | 'create'

const accessConfig: Readonly<Record<Access, Pick<TenantryConfig<unknown>, 'mode' | 'catalog'>>> = {
  read: { mode: 'router' },
  change: { catalog: { create: false } },
  create: { catalog: { create: true } },
}

/** The tools of a command. */
export interface Tools {
  /** Aborted by Ctrl-C, and when the process receives a signal to end. */
  readonly signal: AbortSignal
  readonly asJson: boolean
  /** The author of changes, for the audit trail. */
  readonly actor: string
  readonly config: () => Promise<TenantryConfig<unknown>>
  /**
   * Runs `work` on the configured Tenantry, and closes it.
   *
   * @param keyLost replaces a lost key of the credentials
   * @throws `catalog-missing` if there is no installation, unless the access is `create`
   */
  readonly withTenantry: <T>(
    access: Access,
    work: (tenantry: Tenantry<unknown>) => Promise<T>,
    keyLost?: boolean,
  ) => Promise<T>
  /** Shows on a terminal that `work` continues, and its progress. */
  readonly progress: <T>(text: string, work: (update: (text: string) => void) => Promise<T>) => Promise<T>
}

/** Makes the tools of one command. */
export function makeTools({ config: file, json = false }: CommonOptions, signal: AbortSignal): Tools {
  const config = () => loadConfig(file)
  return {
    signal,
    asJson: json,
    actor: defaultActor(),
    config,
    withTenantry: async (access, work, keyLost = false) => {
      // A command ends before it could keep spares; the service does that.
      const read = await config()
      const { openForCommand } = await import('../tenantry.ts')
      const tenantry = await openForCommand({
        logger,
        ...read,
        ...accessConfig[access],
        catalog: { ...read.catalog, ...accessConfig[access].catalog },
        templates: { ...read.templates, spares: 0 },
        credentials: { ...read.credentials, ...(keyLost && { keyLost }) },
        signal,
      })
      try {
        return await work(tenantry)
      } finally {
        await tenantry.close()
      }
    },
    progress: (text, work) => (json || !process.stderr.isTTY ? work(() => undefined) : spin(text, work)),
  }
}

/** Shows a spinner, which does not handle Ctrl-C: it would end the process in the middle of work under way. */
async function spin<T>(text: string, work: (update: (text: string) => void) => Promise<T>): Promise<T> {
  const spinner = yoctoSpinner({ text: shown(text), stream: process.stderr, handleSignals: false }).start()
  try {
    return await work((now) => {
      spinner.text = shown(now)
    })
  } finally {
    spinner.stop()
  }
}

/** Returns the user of the machine; one without a name by its number. */
function defaultActor(): string {
  try {
    return `${userInfo().username} (tenantry)`
  } catch {
    return `user ${process.getuid?.() ?? ''} (tenantry)`
  }
}

/** Loads the library when a command needs it: neither --help nor a mistyped word has to wait for it. */
export function library(): Promise<typeof Library> {
  return import('../index.ts')
}
