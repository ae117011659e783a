/** Variables that libpq prefers to PGHOST and PGDATABASE, or that belong to another connection. */
const othersConnection = ['PGSERVICE', 'PGSERVICEFILE', 'PGHOSTADDR', 'PGOPTIONS', 'PGPASSWORD', 'PGPASSFILE']

/**
 * Variables that a program needs to run and to interact with a person: the places of programs and files, the user, the
 * terminal, the language. On Windows, those without which programs cannot start.
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
 * Returns the environment of a command that has a connection: inherited variables, and the connection's own. A command
 * that works as a tenant may be the tenant's program, or follow the tenant's rows. It inherits only variables that are
 * known to be harmless: no list could name all of a service's variables that hold a secret (a key, a URL with a
 * password, a token), and one that the list missed would be revealed.
 */
export function commandEnvironment(
  as: 'administrator' | 'owner' | 'tenant',
  connection: Readonly<Record<string, string>>,
  environment: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const isInherited = as === 'tenant' ? isHarmless : (name: string) => !othersConnection.includes(name)
  return { ...Object.fromEntries(Object.entries(environment).filter(([name]) => isInherited(name))), ...connection }
}

/** True for a harmless variable. The names of variables have no case on Windows. */
function isHarmless(name: string): boolean {
  return harmless.has(name.toUpperCase()) || name.startsWith('LC_')
}
