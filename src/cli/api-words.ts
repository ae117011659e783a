/** Names in the API that errors mention, and their names on the command line. */
const apiWords: readonly (readonly [api: string, commandLine: string])[] = [
  ['the option `existing`', '--refuse-existing'],
  ['environment cannot be done', 'exec cannot be done'],
  ['rotateCredentials cannot be done', 'rotate-credentials cannot be done'],
  ['Repair it with rotateCredentials()', 'Repair it with "tenantry rotate-credentials"'],
  ['Look it up with getDomain()', 'Look it up with "tenantry domains --find <domain>"'],
  ['removeDomain() frees it', '"tenantry remove-domain" frees it'],
  ["{ proof: 'given' }", '--proven'],
  ['verifyDomain cannot be done', 'verify-domain cannot be done'],
  ['addDomain cannot be done', 'add-domain cannot be done'],
  ['(drainMs)', '(--drain)'],
  ['list() shows', '"tenantry list" shows'],
  [
    'ensureTables() creates what is missing, checkDatabase() shows what differs.',
    '"tenantry ensure --url ..." creates what is missing, "tenantry check --url ..." shows what differs.',
  ],
  [
    'Run ensureTables() and then checkDatabase() on an empty database of your own: they show what differs.',
    'Run "tenantry ensure --url ..." and then "tenantry check --url ..." on an empty database: they show what differs.',
  ],
  [
    'Create it with ensureDatabase, or check the name in the connection URL.',
    'Check its name. Was it dropped or renamed?',
  ],
  [
    "Do it from the command line, or in a process opened without mode: 'router'.",
    "Name a configuration without mode: 'router' by --config <file>.",
  ],
  ['This process was opened with', 'The configuration says'],
  ["'router' and changes nothing.", "'router', which changes nothing."],
  ['Give openTenantry', 'Give the configuration'],
  ['openTenantry', 'The configuration'],
  ['in this process.', 'in the configuration.'],
]

/** Returns an error's text in the words of the command line. */
export function inOurWords(text: string): string {
  return apiWords.reduce((result, [api, ours]) => result.replaceAll(api, ours), text)
}
