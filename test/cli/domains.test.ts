import { describe, expect, it } from 'vitest'
import { startDnsServer } from '../support/dns-server.ts'
import { makeProject } from './project.ts'
import { runStep } from './transcript.ts'

describe('verify-domain', () => {
  it('looks in the DNS, ends with 4 while the record is not there or not to be had, and with 0 once it is', async () => {
    const dns = await startDnsServer()
    const project = makeProject('domains')
    // The command uses the same DNS server as this process.
    const hook = `data:text/javascript,import dns from 'node:dns'; dns.setServers(['${dns.address}'])`
    const env = { ...project.env, NODE_OPTIONS: `--import="${hook}"` }
    const run = (command: string) => runStep(command, { cwd: project.cwd, env })

    await run('tenantry onboard acme')
    const added = await run('tenantry add-domain acme shop.acme.example')
    const [, value = ''] = /^value +(\S+)$/m.exec(added) ?? []
    const record = `type   TXT\nname   _tenantry.shop.acme.example\nvalue  ${value}`
    expect(added).toBe(`shop.acme.example: added, not verified, of acme\n${record}`)
    expect(await run('tenantry verify-domain acme shop.acme.example')).toBe(
      `shop.acme.example: not-proven, not verified, of acme\nThis record is not in its DNS, or not yet:\n${record}\n[4]`,
    )
    dns.isFailing = true
    expect(await run('tenantry verify-domain acme shop.acme.example')).toMatch(/\(domain-lookup-failed\)\n\[4\]$/)
    dns.isFailing = false
    dns.records.set('_tenantry.shop.acme.example', [[value]])
    expect(await run('tenantry verify-domain acme shop.acme.example')).toBe('shop.acme.example: verified, of acme')
  }, 60_000)
})
