from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    default_site = "socratic_site.accounts.admin_site.StaffAdmin"
