from django.urls import URLPattern, URLResolver, path

from .views import chart_files, dashboards, exports, grading, monitor, plan, records, results, system

urlpatterns: list[URLPattern | URLResolver] = [
    path("records/", records.index, name="records"),
    path("records/find/", records.find, name="record_find"),
    path("records/partition/", records.partition, name="record_partition"),
    path("records/<slug:name>/", records.listing, name="record_list"),
    path("records/<slug:name>/item/", records.item, name="record_item"),
    path("dashboards/", dashboards.overview, name="dashboard"),
    path("dashboards/conditions/", dashboards.conditions, name="dashboard_conditions"),
    path("dashboards/conditions/<slug:code>/", dashboards.condition, name="dashboard_condition"),
    path(
        "dashboards/conditions/<slug:code>/sessions/",
        dashboards.condition_sessions,
        name="dashboard_condition_sessions",
    ),
    path("dashboards/locations/", dashboards.locations, name="dashboard_locations"),
    path("dashboards/interventions/", dashboards.interventions, name="dashboard_interventions"),
    path("dashboards/time/", dashboards.time, name="dashboard_time"),
    path("dashboards/students/<slug:student_id>/", dashboards.student, name="dashboard_student"),
    path("dashboards/ai/", dashboards.ai, name="dashboard_ai"),
    path("dashboards/inference/", dashboards.inference, name="dashboard_inference"),
    path("dashboards/charts/<slug:name>.<slug:form>", chart_files.chart, name="dashboard_chart"),
    path("grading/", grading.index, name="grading"),
    path("grading/agreement/", grading.agreement, name="grading_agreement"),
    path("grading/<slug:session_id>/<slug:mark>/<slug:question>/", grading.answer, name="grading_answer"),
    path("exports/", exports.index, name="exports"),
    path("exports/<slug:export_id>/download/", exports.download, name="export_download"),
    path("system/dead-letters/", system.index, name="dead_letters"),
    path("system/dead-letters/retry/", system.retry, name="dead_letter_retry"),
    path("system/dead-letters/dismiss/", system.dismiss, name="dead_letter_dismiss"),
    path("study/plan/", plan.show, name="study_plan"),
    path("study/plan/sign/", plan.sign, name="study_plan_sign"),
    path("results/confirmatory/", results.confirmatory, name="confirmatory"),
    path("monitor/", monitor.board, name="monitor"),
]
