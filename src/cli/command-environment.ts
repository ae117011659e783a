/** Variables that libpq heeds before PGHOST and PGDATABASE, or that belong to another connection. */
const othersConnection = ['PGSERVICE', 'PGSERVICEFILE', 'PGHOSTADDR', 'PGOPTIONS', 'PGPASSWORD', 'PGPASSFILE']

/**
 * What a program needs to run and to talk to a person: where programs and files are, the user, the terminal, the language.
 * On Windows, what programs cannot start without.
 */
const harmless: ReadonlySet<string> = new Set(
  [
    'PATH HOME PWD USER LOGNAME SHELL TMPDIR TMP TEMP TZ LD_LIBRARY_PATH',
    'TERM TERMINFO COLORTERM COLUMNS LINES NO_COLOR FORCE_COLOR LANG LANGUAGE',
    'EDITOR VISUAL PAGER LESS PSQL_EDITOR PSQL_PAGER PSQL_HISTORY PSQLRC',
    'SYSTEMROOT SYSTEMDRIVE WINDIR COMSPEC PATHEXT APPDATA LOCALAPPDATA USERNAME USERPROFILE',
  ].flatMap((names) => names.split(' ')),
)

/**
 * The environment of a command that has a connection: what it inherits, and the connection's own variables.
 *
 * A command that works as a tenant may be the tenant's, or do what the tenant's rows say. It inherits only what is known
 * to be harmless: which of a service's variables hold a secret (a key, a URL with a password, a token for something
 * else) no list could name, and one that was missed would be given away.
 */
export function commandEnvironment(
  as: 'administrator' | 'owner' | 'tenant',
  connection: Readonly<Record<string, string>>,
  environment: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const isInherited = as === 'tenant' ? isHarmless : (name: string) => !othersConnection.includes(name)
  return { ...Object.fromEntries(Object.entries(environment).filter(([name]) => isInherited(name))), ...connection }
}

/** The names of variables have no case on Windows. */
function isHarmless(name: string): boolean {
  return harmless.has(name.toUpperCase()) || name.startsWith('LC_')
}
