import assert from 'node:assert/strict'
import { inspect, isDeepStrictEqual } from 'node:util'
import { vi } from 'vitest'
import { disposableName, dropDatabases } from '../../support/server.ts'
import type { Request } from './calls.ts'
import { explained } from './explain.ts'
import { stepsOf } from './model.ts'
import type { Neighbour } from './neighbour.ts'
import { type Answer, Participant } from './participant.ts'
import { expectedRows, expectedState, ServerView } from './physical-state.ts'
import { carriedOut } from './steps.ts'
import { tenantsOf, viewOf, type World } from './world.ts'

/** The one of the two processes that does it. */
export type Side = 'here' | 'there'

/** A request, and the process that carries it out. */
export interface Errand {
  readonly side: Side
  readonly request: Request
}

interface Sides {
  readonly here: Participant
  readonly there: Neighbour
}

/** The real installation, with two processes at work on it, and a look past them at the server. */
export class Installation {
  readonly #sides: Sides
  readonly #server: ServerView
  readonly #name: string
  #labels = 0

  private constructor(name: string, sides: Sides, server: ServerView) {
    this.#name = name
    this.#sides = sides
    this.#server = server
  }

  static async open(url: string, servers: readonly string[], there: Neighbour): Promise<Installation> {
    const installation = disposableName('m')
    const here = new Participant()
    await here.open({ installation, url, servers })
    await there.open({ installation, url, servers })
    const server = new ServerView(url, installation)
    await server.open()
    return new Installation(installation, { here, there }, server)
  }

  get server(): ServerView {
    return this.#server
  }

  async close(): Promise<void> {
    await this.#server.close()
    await Promise.all([this.#sides.here.close(), this.#sides.there.close()])
    // Here already, since a long search leaves many.
    await dropDatabases(this.#name)
  }

  nextLabel(): string {
    return `call ${++this.#labels}`
  }

  perform({ side, request }: Errand): Promise<Answer> {
    return this.#sides[side].perform(request)
  }

  /** Carries out one errand, and expects the result and the state of the model. */
  async performAlone(errand: Errand, world: World): Promise<World> {
    const { result, detail } = await this.perform(errand)
    const expected = carriedOut(world, stepsOf(errand.request))
    if (!isDeepStrictEqual(result, expected.result)) {
      assert.fail(inspect({ errand, result, detail, expected: expected.result }, { depth: 6 }))
    }
    await this.expectState(expected.world)
    // A call that takes a tenant out of service has waited for the end of all sessions.
    assert.deepEqual(await this.#server.sessionsOutOfService(), [])
    return expected.world
  }

  /** Carries out several errands at once, and expects that some order of their steps explains the final state. */
  async performAtOnce(errands: readonly Errand[], world: World): Promise<World> {
    const answers = await Promise.all(errands.map((errand) => this.perform(errand)))
    const calls = errands.map(({ request }, i) => ({ step: stepsOf(request), result: (answers[i] as Answer).result }))
    const { audit, ...physical } = await this.#server.state()
    const seen = { ...physical, tenants: await this.#listed('here'), rows: await this.#server.rows() }
    const candidates: World[] = []
    const after = explained(world, calls, audit, (candidate) => {
      candidates.push(candidate)
      const { databases } = expectedState(candidate)
      const expected = { databases, tenants: tenantsOf(candidate).map(viewOf), rows: expectedRows(candidate) }
      return isDeepStrictEqual(expected, seen)
    })
    if (after === undefined) {
      const story = errands.map((errand, i) => ({ ...errand, ...(answers[i] as Answer) }))
      assert.fail(`No order explains this: ${inspect({ before: world, story, seen, audit, candidates }, { depth: 8 })}`)
    }
    await this.expectState(after)
    // Work that was admitted too late is refused before it has begun; its connection may end a moment later.
    await vi.waitFor(async () => assert.deepEqual(await this.#server.sessionsOutOfService(), []))
    return after
  }

  /** Expects the catalog, the databases and the audit trail to equal the model, for both processes. */
  async expectState(world: World): Promise<void> {
    const tenants = tenantsOf(world).map(viewOf)
    assert.deepEqual(await this.#listed('here'), tenants)
    assert.deepEqual(await this.#listed('there'), tenants)
    assert.deepEqual(await this.#server.state(), expectedState(world))
    assert.ok(await this.#server.keepsRowIds(world), 'A tenant has another row id than it had.')
  }

  /** Expects in each database the rows of the model, also in those that are closed. */
  async expectRows(world: World): Promise<void> {
    assert.deepEqual(await this.#server.rows(), expectedRows(world))
  }

  async #listed(side: Side) {
    const { result, detail } = await this.perform({ side, request: { call: { verb: 'list' }, label: '' } })
    return 'tenants' in result ? result.tenants : assert.fail(detail)
  }
}
