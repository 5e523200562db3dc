'use strict';
// Validators: what may stand in one, and what has to hold before a handler runs. The texts are those of Parse Server: clients read them.

const VALIDATION_ERROR = 142;

const inField = {
  type: ['any'],
  constant: ['boolean'],
  default: ['any'],
  options: ['array', 'function', 'any'],
  required: ['boolean'],
  error: ['string'],
};

const inValidator = {
  requireUser: ['boolean'],
  requireAnyUserRoles: ['array', 'function'],
  requireAllUserRoles: ['array', 'function'],
  requireMaster: ['boolean'],
  validateMasterKey: ['boolean'],
  skipWithMasterKey: ['boolean'],
  requireUserKeys: ['array', 'object'],
  fields: ['array', 'object'],
  rateLimit: ['object'],
};

const kind = v => (Array.isArray(v) ? 'array' : typeof v);

function known(name, allowed, value) {
  const kinds = Object.hasOwn(allowed, name) ? allowed[name] : undefined;
  if (!kinds) {
    throw `${name} is not a supported parameter for Cloud Function validations.`;
  }
  const actual = kind(value);
  if (!kinds.includes('any') && !kinds.includes(actual)) {
    throw `Invalid type for Cloud Function validation key ${name}. Expected ${kinds.join('|')}, actual ${actual}`;
  }
}

// check throws when a validator holds something that is no rule.
exports.check = function check(validator) {
  if (!validator || typeof validator === 'function') {
    return;
  }
  for (const name of Object.keys(validator)) {
    known(name, inValidator, validator[name]);
    if ((name === 'fields' || name === 'requireUserKeys') && !Array.isArray(validator[name])) {
      for (const field of Object.values(validator[name])) {
        if (field && typeof field === 'object') {
          Object.keys(field).forEach(member => known(member, inField, field[member]));
        }
      }
    }
  }
};

// run asks a validator. It returns true when the handler is to be left out, and throws what does not hold as a Parse.Error.
exports.run = async function run(Parse, failure, validator, request, roles) {
  if (!validator) {
    return false;
  }
  try {
    if (typeof validator === 'function') {
      await validator(request);
      return false;
    }
    await hold(validator, request, roles);
    return Boolean(validator.skipWithMasterKey && request.master);
  } catch (thrown) {
    throw failure(thrown, VALIDATION_ERROR, 'Validation failed.');
  }
};

async function hold(rules, request, roles) {
  if (request.master && !rules.validateMasterKey) {
    return;
  }
  let user = request.user;
  if (!user && request.object && request.object.className === '_User' && !request.object.existed()) {
    user = request.object; // who signs up
  }
  if (!user && (rules.requireUser || rules.requireAnyUserRoles || rules.requireAllUserRoles)) {
    throw 'Validation failed. Please login to continue.';
  }
  if (rules.requireMaster && !request.master) {
    throw 'Validation failed. Master key is required to complete this request.';
  }
  await fields(rules.fields, request);
  await inRoles(rules, roles);
  await userKeys(rules.requireUserKeys, user);
}

async function fields(rules, request) {
  if (!rules) {
    return;
  }
  const given = request.object ? request.object.toJSON() : request.params || {};
  const demand = name => {
    if (given[name] == null) {
      throw `Validation failed. Please specify data for ${name}.`;
    }
  };
  if (Array.isArray(rules)) {
    rules.forEach(demand);
    return;
  }
  const pending = [];
  for (const name of Object.keys(rules)) {
    const rule = rules[name];
    if (typeof rule === 'string') {
      demand(rule);
    }
    if (!rule || typeof rule !== 'object') {
      continue;
    }
    if (given[name] == null && rule.default != null) {
      given[name] = rule.default;
      if (request.object) {
        request.object.set(name, rule.default);
      }
    }
    if (rule.constant && request.object) {
      if (request.original) {
        request.object.revert(name);
      } else if (rule.default != null) {
        request.object.set(name, rule.default);
      }
    }
    if (rule.required) {
      demand(name);
    }
    const value = given[name];
    if (value === undefined) {
      continue;
    }
    if (rule.type) {
      const wanted = typeName(rule.type);
      if (kind(value) !== wanted) {
        throw `Validation failed. Invalid type for ${name}. Expected: ${wanted}`;
      }
    }
    if (rule.options) {
      pending.push(admitted(rule, name, value));
    }
  }
  await Promise.all(pending);
}

// typeName is "string" for String, and "" for a class, which no value is.
function typeName(type) {
  const match = /^\s*function (\w+)/.exec(String(type));
  return match ? match[1].toLowerCase() : '';
}

async function admitted(rule, name, value) {
  if (typeof rule.options === 'function') {
    const refusal = rule.error || `Validation failed. Invalid value for ${name}.`;
    let answer;
    try {
      answer = await rule.options(value);
    } catch (thrown) {
      throw thrown ? rule.error || thrown.message || thrown : refusal;
    }
    if (!answer && answer != null) {
      throw refusal;
    }
    return;
  }
  const options = Array.isArray(rule.options) ? rule.options : [rule.options];
  if (!options.includes(value)) {
    throw rule.error || `Validation failed. Invalid option for ${name}. Expected: ${options.join(', ')}`;
  }
}

async function inRoles(rules, roles) {
  const named = async given => (typeof given === 'function' ? given() : given);
  const [any, all] = await Promise.all([named(rules.requireAnyUserRoles), named(rules.requireAllUserRoles)]);
  const has = role => roles.includes(`role:${role}`);
  if (Array.isArray(any) && !any.some(has)) {
    throw 'Validation failed. User does not match the required roles.';
  }
  if (Array.isArray(all) && !all.every(has)) {
    throw 'Validation failed. User does not match all the required roles.';
  }
}

async function userKeys(rules, user) {
  if (!rules) {
    return;
  }
  if (Array.isArray(rules)) {
    for (const name of rules) {
      if (!user) {
        throw 'Please login to make this request.';
      }
      if (user.get(name) == null) {
        throw `Validation failed. Please set data for ${name} on your account.`;
      }
    }
    return;
  }
  const ruled = Object.keys(rules).filter(name => rules[name] && rules[name].options);
  if (ruled.length > 0 && !user) {
    throw 'Please login to make this request.';
  }
  await Promise.all(ruled.map(name => admitted(rules[name], name, user.get(name))));
}
