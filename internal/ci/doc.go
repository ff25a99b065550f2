// Package ci has only tests: they execute action.yml and the template for GitLab as far as that goes without the services.
package ci
