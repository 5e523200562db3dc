'use strict';
// How each kind of call runs: the request is made, the validator asked, the handler run, and its outcome put into an answer.
const { run: validate } = require('./validate');

const SCRIPT_FAILED = 141;
const UNKNOWN = 'Script failed. Unknown error.';

exports.create = function create(Parse, registry, requests) {
  // failure is what was thrown, as a Parse.Error.
  function failure(thrown, code = SCRIPT_FAILED, text = 'Script failed.') {
    if (!thrown) {
      return new Parse.Error(code, text);
    }
    if (thrown instanceof Parse.Error) {
      return thrown;
    }
    if (typeof thrown === 'string') {
      return new Parse.Error(code, thrown);
    }
    const error = new Parse.Error(code, thrown.message || thrown);
    if (thrown instanceof Error) {
      error.stack = thrown.stack;
    }
    return error;
  }

  // handled runs an entry of the registry. It returns undefined when the validator leaves it out, which only triggers are.
  async function handled(entry, request, sent, text, ...more) {
    if (await validate(Parse, failure, entry.validator, request, sent.roles || []) && request.functionName === undefined) {
      return undefined;
    }
    try {
      return await entry.handler(request, ...more);
    } catch (thrown) {
      throw failure(thrown, SCRIPT_FAILED, text);
    }
  }

  const missing = what => new Parse.Error(SCRIPT_FAILED, `${what} is no longer registered: the cloud code was loaded anew.`);

  async function callFunction(sent) {
    const entry = registry.functions.get(sent.name);
    if (!entry) {
      throw missing(`The function ${sent.name}`);
    }
    const request = requests.base(sent, { params: requests.params(sent.params), functionName: sent.name });
    const answer = {};
    let result;
    if (entry.handler.length >= 2) {
      result = await responded(entry, request, sent, answer);
    } else {
      result = await handled(entry, request, sent, 'Script failed.');
    }
    if (result !== undefined) {
      try {
        answer.result = Parse._encode(result);
      } catch (thrown) {
        throw new Parse.Error(SCRIPT_FAILED, `The result cannot be encoded: ${thrown.message || thrown}`);
      }
    }
    return answer;
  }

  // responded runs a function that answers through its second argument, or by returning something before that is used.
  function responded(entry, request, sent, answer) {
    return new Promise((resolve, reject) => {
      let done = false;
      const once = how => {
        if (done) {
          throw new Error(`Cannot call ${how}() after response has already been sent. Make sure to call success() or error() only once per cloud function execution.`);
        }
        done = true;
      };
      const response = {
        success: result => {
          once('success');
          resolve(result);
        },
        error: thrown => {
          once('error');
          reject(failure(thrown));
        },
        status: code => {
          answer.status = code;
          return response;
        },
        header: (name, value) => {
          (answer.headers = answer.headers || {})[name] = String(value);
          return response;
        },
        _isResponseSent: () => done,
      };
      handled(entry, request, sent, 'Script failed.', response).then(result => {
        if (!done && result !== undefined) {
          done = true;
          resolve(result);
        }
      }, reject);
    }).catch(thrown => {
      throw answer.status ? Object.assign(failure(thrown), { status: answer.status }) : thrown;
    });
  }

  // contextOf is the context that a handler leaves behind, when it has changed it.
  const contextOf = (request, sent) => (JSON.stringify(request.context) === JSON.stringify(sent.context) ? {} : { context: request.context });

  const withObject = (kind, sent) => {
    const request = requests.base(sent, { triggerName: kind, object: requests.object(sent.object) });
    if (sent.original) {
      request.original = requests.object(sent.original);
    }
    return request;
  };

  // others is what a client reads when afterSave answers with another object than the one that was saved: what it does not know of it.
  const others = (other, saved, existed) => {
    const known = saved.toJSON();
    if (other.id !== saved.id) {
      delete known.createdAt; // not known, though it may be the same instant
      delete known.updatedAt;
    }
    if (!existed) {
      delete known.objectId;
    }
    return Object.fromEntries(Object.entries(other.toJSON()).filter(([name, v]) => JSON.stringify(v) !== JSON.stringify(known[name])));
  };

  const triggers = {
    async beforeSave(entry, sent) {
      const isNew = !sent.original;
      const object = isNew ? Parse.Object.fromJSON({ className: sent.class }) : requests.object(sent.original);
      requests.sentChanges(object, sent.writes, isNew);
      const before = requests.texts(object);
      const request = requests.base(sent, { triggerName: 'beforeSave', object });
      if (!isNew) {
        request.original = requests.object(sent.original);
      }
      const result = await handled(entry, request, sent, UNKNOWN);
      // A handler may answer like a webhook, with {object}: then that is all that is written.
      const after = result && result.object && !(result instanceof Parse.Object)
        ? new Map(Object.entries(Parse._encode(result.object)).filter(([name]) => name !== 'objectId').map(([name, v]) => [name, JSON.stringify(v)]))
        : requests.texts(request.object);
      return { ...requests.differences(before, after), ...contextOf(request, sent) };
    },

    async afterSave(entry, sent) {
      const request = withObject('afterSave', sent);
      const { object } = request;
      object._setExisted(Boolean(sent.original));
      const result = await handled(entry, request, sent, UNKNOWN);
      const context = contextOf(request, sent);
      if (result && typeof result === 'object' && !result._toFullJSON) {
        return { answer: result, ...context };
      }
      if (result instanceof Parse.Object && result !== object) {
        return { answer: others(result, object, Boolean(sent.original)), ...context };
      }
      const target = result || object;
      const changes = {};
      if (target instanceof Parse.Object) {
        for (const name of Object.keys(target._getSaveJSON())) {
          const value = target.get(name);
          changes[name] = value === undefined ? { __op: 'Delete' } : Parse._encode(value);
        }
      }
      return { changes, ...context };
    },

    async beforeFind(entry, sent) {
      const query = requests.query(sent);
      const before = JSON.stringify(query.toJSON());
      const request = requests.base(sent, { triggerName: 'beforeFind', query, count: Boolean(sent.count), isGet: Boolean(sent.get) });
      const result = await handled(entry, request, sent, UNKNOWN);
      const answer = contextOf(request, sent);
      const json = query.toJSON();
      if (result instanceof Parse.Query && result !== query) {
        Object.assign(json, result.toJSON()); // what the client asked for stays where the other query says nothing
      }
      for (const name of ['readPreference', 'includeReadPreference', 'subqueryReadPreference']) {
        if (request[name]) {
          json[name] = request[name];
        }
      }
      if (JSON.stringify(json) !== before) {
        answer.query = json;
      }
      if (result instanceof Parse.Object) {
        answer.objects = [requests.shown(result)];
      } else if (Array.isArray(result) && result.every(one => one instanceof Parse.Object)) {
        answer.objects = result.map(requests.shown);
      }
      return answer;
    },

    async afterFind(entry, sent) {
      const objects = sent.objects.map(requests.object);
      const request = requests.base(sent, { triggerName: 'afterFind', query: requests.query(sent), objects, isGet: Boolean(sent.get) });
      const result = await handled(entry, request, sent, UNKNOWN);
      const shown = result || request.objects;
      if (!Array.isArray(shown)) {
        throw new Parse.Error(SCRIPT_FAILED, 'afterFind returns a list of objects.');
      }
      return { objects: shown.map(requests.shown), ...contextOf(request, sent) };
    },
  };

  // plain are the triggers that look at an object and answer nothing but yes or no.
  async function plain(entry, sent) {
    const request = withObject(sent.kind, sent);
    if (sent.sessionToken && sent.kind === 'afterLogin') {
      request.object._finishFetch({ sessionToken: sent.sessionToken });
    }
    await handled(entry, request, sent, UNKNOWN);
    return contextOf(request, sent);
  }

  async function callTrigger(sent) {
    const entry = registry.triggers.get(`${sent.kind}.${sent.class}`);
    if (!entry) {
      throw missing(`${sent.kind} of ${sent.class}`);
    }
    return (Object.hasOwn(triggers, sent.kind) ? triggers[sent.kind] : plain)(entry, sent);
  }

  return { failure, calls: { function: callFunction, trigger: callTrigger }, handled, missing, triggers, plain };
};
