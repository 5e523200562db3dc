'use strict';
// What the code registers: Parse.Cloud.define and its kin.
const { check } = require('./validate');

// create adds the registrations to Parse.Cloud. changed is called after each, warn with what is odd about one.
exports.create = function create(Parse, changed, warn) {
  const functions = new Map();
  const jobs = new Map();
  const triggers = new Map();
  const watchers = [];

  const put = (map, key, what, handler, validator) => {
    if (typeof handler !== 'function') {
      throw new TypeError(`${what}: the handler is not a function`);
    }
    if (map.has(key)) {
      warn(`${what} is registered more than once; the last registration counts`);
    }
    map.set(key, { handler, validator });
    changed();
  };
  const named = (map, what, name, handler, validator) => {
    if (typeof name !== 'string' || name === '' || /['"`]/.test(name)) {
      warn(`${what} ${JSON.stringify(name)}: a name is not empty and has no quotation marks; it is left out`);
      return;
    }
    put(map, name, `${what} ${name}`, handler, validator);
  };
  const classOf = target => {
    if (target === Parse.File) {
      return '@File';
    }
    if (target === Parse.Config) {
      return '@Config';
    }
    return (target && target.className) || (target && target.name && target.name.replace('Parse', '@')) || target;
  };
  const trigger = (kind, className, handler, validator) => {
    const problem = impossible(kind, className);
    if (problem) {
      throw problem;
    }
    put(triggers, `${kind}.${className}`, `${kind} of ${className}`, handler, validator);
  };
  const ofClass = kind => (target, handler, validator) => {
    check(validator);
    trigger(kind, classOf(target), handler, validator);
  };
  // These may be given their class, as the others are. Of a validator Parse Server takes the rate limit and nothing else.
  const ofUsers = (kind, className) => (...args) => {
    if (typeof args[0] === 'string' || (typeof args[0] === 'function' && Object.hasOwn(args[0], 'className'))) {
      className = classOf(args.shift());
    }
    const limit = args[1] && args[1].rateLimit;
    trigger(kind, className, args[0], limit ? { rateLimit: limit } : undefined);
  };

  const additions = {
    define: (name, handler, validator) => {
      check(validator);
      named(functions, 'function', name, handler, validator);
    },
    job: (name, handler) => named(jobs, 'job', name, handler),
    beforeLogin: ofUsers('beforeLogin', '_User'),
    afterLogin: ofUsers('afterLogin', '_User'),
    afterLogout: ofUsers('afterLogout', '_Session'),
    beforePasswordResetRequest: ofUsers('beforePasswordResetRequest', '_User'),
    beforeConnect: (handler, validator) => {
      check(validator);
      trigger('beforeConnect', '@Connect', handler, validator);
    },
    beforeSubscribe: ofClass('beforeSubscribe'),
    afterLiveQueryEvent: ofClass('afterEvent'),
    onLiveQueryEvent: handler => {
      if (typeof handler !== 'function') {
        throw new TypeError('onLiveQueryEvent: the handler is not a function');
      }
      watchers.push(handler);
      changed();
    },
    sendEmail: () => {
      console.error('Failed to send email because no mail adapter is configured for Parse Server.');
    },
    useMasterKey: () => {
      console.warn('Parse.Cloud.useMasterKey has no effect: ask for the master key in each call, with {useMasterKey: true}.');
    },
    _removeAllHooks: () => {
      functions.clear();
      jobs.clear();
      triggers.clear();
      watchers.length = 0;
      changed();
    },
  };
  for (const kind of ['beforeSave', 'afterSave', 'beforeDelete', 'afterDelete', 'beforeFind', 'afterFind']) {
    additions[kind] = ofClass(kind);
  }
  Object.assign(Parse.Cloud, additions);

  return {
    functions, jobs, triggers, watchers,
    // list is what the server is told.
    list: () => [
      ...[...functions].map(([name, entry]) => told({ what: 'function', name }, entry)),
      ...[...jobs].map(([name, entry]) => told({ what: 'job', name }, entry)),
      ...[...triggers].map(([key, entry]) => {
        const dot = key.indexOf('.');
        return told({ what: 'trigger', kind: key.slice(0, dot), class: key.slice(dot + 1) }, entry);
      }),
      ...(watchers.length > 0 ? [{ what: 'watcher' }] : []),
    ],
  };
};

function told(registration, { validator }) {
  if (typeof validator === 'function') {
    registration.validator = ['a function'];
  } else if (validator) {
    registration.validator = Object.keys(validator);
    if (validator.rateLimit) {
      registration.rateLimit = validator.rateLimit;
    }
  }
  return registration;
}

function impossible(kind, className) {
  if (kind === 'beforeSave' && className === '_PushStatus') {
    return 'Only afterSave is allowed on _PushStatus';
  }
  if (['beforeLogin', 'afterLogin', 'beforePasswordResetRequest'].includes(kind)) {
    return className === '_User' ? '' : 'Only the _User class is allowed for the beforeLogin, afterLogin, and beforePasswordResetRequest triggers';
  }
  if (kind === 'afterLogout') {
    return className === '_Session' ? '' : 'Only the _Session class is allowed for the afterLogout trigger.';
  }
  if (className === '_Session') {
    return 'Only the afterLogout trigger is allowed for the _Session class.';
  }
  return typeof className === 'string' && className !== '' ? '' : `${kind}: ${String(className)} is no class`;
}
