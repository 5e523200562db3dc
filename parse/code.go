package parse

import (
	"net/http"
	"strconv"
)

// Code is a Parse error code. It is an error itself, to be used with errors.Is and as the code of an [Error].
type Code int

// The codes that Parse Server 9 and the SDKs know (contract parse-api.md, 1.6).
const (
	OtherCause             Code = -1
	InternalServerError    Code = 1
	ConnectionFailed       Code = 100
	ObjectNotFound         Code = 101
	InvalidQuery           Code = 102
	InvalidClassName       Code = 103
	MissingObjectID        Code = 104
	InvalidKeyName         Code = 105
	InvalidPointer         Code = 106
	InvalidJSON            Code = 107
	CommandUnavailable     Code = 108
	NotInitialized         Code = 109
	IncorrectType          Code = 111
	InvalidChannelName     Code = 112
	PushMisconfigured      Code = 115
	ObjectTooLarge         Code = 116
	OperationForbidden     Code = 119
	CacheMiss              Code = 120
	InvalidNestedKey       Code = 121
	InvalidFileName        Code = 122
	InvalidACL             Code = 123
	Timeout                Code = 124
	InvalidEmailAddress    Code = 125
	MissingContentType     Code = 126
	MissingContentLength   Code = 127
	InvalidContentLength   Code = 128
	FileTooLarge           Code = 129
	FileSaveError          Code = 130
	InstallationIDClash    Code = 132
	MissingRequiredField   Code = 135
	ImmutableField         Code = 136
	DuplicateValue         Code = 137
	InvalidRoleName        Code = 139
	ExceededQuota          Code = 140
	ScriptFailed           Code = 141
	ValidationError        Code = 142
	HookError              Code = 143
	InvalidImageData       Code = 150
	UnsavedFile            Code = 151
	InvalidPushTime        Code = 152
	FileDeleteError        Code = 153
	RequestLimitExceeded   Code = 155
	DuplicateRequest       Code = 159
	InvalidEventName       Code = 160
	FileDeleteUnnamed      Code = 161
	InvalidValue           Code = 162
	UsernameMissing        Code = 200
	PasswordMissing        Code = 201
	UsernameTaken          Code = 202
	EmailTaken             Code = 203
	EmailMissing           Code = 204
	EmailNotFound          Code = 205
	SessionMissing         Code = 206
	MustCreateUserBySignup Code = 207
	AccountAlreadyLinked   Code = 208
	InvalidSessionToken    Code = 209
	MFAError               Code = 210
	MFATokenRequired       Code = 211
	LinkedIDMissing        Code = 250
	InvalidLinkedSession   Code = 251
	UnsupportedService     Code = 252
	InvalidSchemaOperation Code = 255
	AggregateError         Code = 600
	FileReadError          Code = 601
	XDomainRequest         Code = 602
)

func (c Code) Error() string {
	if name := c.Name(); name != "" {
		return "parse error " + strconv.Itoa(int(c)) + " " + name
	}
	return "parse error " + strconv.Itoa(int(c))
}

// Name returns what the SDKs call the code, as "OBJECT_NOT_FOUND", and "" for a code of an application.
func (c Code) Name() string { return codeNames[c] }

// HTTPStatus returns the status of an answer with this code (contract parse-api.md, 1.4).
func (c Code) HTTPStatus() int {
	switch c {
	case InternalServerError:
		return http.StatusInternalServerError
	case ObjectNotFound:
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

var codeNames = map[Code]string{
	OtherCause:             "OTHER_CAUSE",
	InternalServerError:    "INTERNAL_SERVER_ERROR",
	ConnectionFailed:       "CONNECTION_FAILED",
	ObjectNotFound:         "OBJECT_NOT_FOUND",
	InvalidQuery:           "INVALID_QUERY",
	InvalidClassName:       "INVALID_CLASS_NAME",
	MissingObjectID:        "MISSING_OBJECT_ID",
	InvalidKeyName:         "INVALID_KEY_NAME",
	InvalidPointer:         "INVALID_POINTER",
	InvalidJSON:            "INVALID_JSON",
	CommandUnavailable:     "COMMAND_UNAVAILABLE",
	NotInitialized:         "NOT_INITIALIZED",
	IncorrectType:          "INCORRECT_TYPE",
	InvalidChannelName:     "INVALID_CHANNEL_NAME",
	PushMisconfigured:      "PUSH_MISCONFIGURED",
	ObjectTooLarge:         "OBJECT_TOO_LARGE",
	OperationForbidden:     "OPERATION_FORBIDDEN",
	CacheMiss:              "CACHE_MISS",
	InvalidNestedKey:       "INVALID_NESTED_KEY",
	InvalidFileName:        "INVALID_FILE_NAME",
	InvalidACL:             "INVALID_ACL",
	Timeout:                "TIMEOUT",
	InvalidEmailAddress:    "INVALID_EMAIL_ADDRESS",
	MissingContentType:     "MISSING_CONTENT_TYPE",
	MissingContentLength:   "MISSING_CONTENT_LENGTH",
	InvalidContentLength:   "INVALID_CONTENT_LENGTH",
	FileTooLarge:           "FILE_TOO_LARGE",
	FileSaveError:          "FILE_SAVE_ERROR",
	InstallationIDClash:    "INSTALLATION_ID_CLASH",
	MissingRequiredField:   "MISSING_REQUIRED_FIELD",
	ImmutableField:         "IMMUTABLE_FIELD",
	DuplicateValue:         "DUPLICATE_VALUE",
	InvalidRoleName:        "INVALID_ROLE_NAME",
	ExceededQuota:          "EXCEEDED_QUOTA",
	ScriptFailed:           "SCRIPT_FAILED",
	ValidationError:        "VALIDATION_ERROR",
	HookError:              "HOOK_ERROR", // INVALID_IMAGE_DATA to the SDKs; servers use it for webhooks
	InvalidImageData:       "INVALID_IMAGE_DATA",
	UnsavedFile:            "UNSAVED_FILE_ERROR",
	InvalidPushTime:        "INVALID_PUSH_TIME_ERROR",
	FileDeleteError:        "FILE_DELETE_ERROR",
	RequestLimitExceeded:   "REQUEST_LIMIT_EXCEEDED",
	DuplicateRequest:       "DUPLICATE_REQUEST",
	InvalidEventName:       "INVALID_EVENT_NAME",
	FileDeleteUnnamed:      "FILE_DELETE_UNNAMED_ERROR",
	InvalidValue:           "INVALID_VALUE",
	UsernameMissing:        "USERNAME_MISSING",
	PasswordMissing:        "PASSWORD_MISSING",
	UsernameTaken:          "USERNAME_TAKEN",
	EmailTaken:             "EMAIL_TAKEN",
	EmailMissing:           "EMAIL_MISSING",
	EmailNotFound:          "EMAIL_NOT_FOUND",
	SessionMissing:         "SESSION_MISSING",
	MustCreateUserBySignup: "MUST_CREATE_USER_THROUGH_SIGNUP",
	AccountAlreadyLinked:   "ACCOUNT_ALREADY_LINKED",
	InvalidSessionToken:    "INVALID_SESSION_TOKEN",
	MFAError:               "MFA_ERROR",
	MFATokenRequired:       "MFA_TOKEN_REQUIRED",
	LinkedIDMissing:        "LINKED_ID_MISSING",
	InvalidLinkedSession:   "INVALID_LINKED_SESSION",
	UnsupportedService:     "UNSUPPORTED_SERVICE",
	InvalidSchemaOperation: "INVALID_SCHEMA_OPERATION",
	AggregateError:         "AGGREGATE_ERROR",
	FileReadError:          "FILE_READ_ERROR",
	XDomainRequest:         "X_DOMAIN_REQUEST",
}
